uniform mat4 clip;
uniform mat4 optical;
uniform mat4 shadow;

in vec3 position;
in vec3 normal;
in vec3 tint;
in vec2 finish; // gloss, weave

out vec3 place;
out vec3 seen;
out vec3 facing;
out vec3 shaded;
out vec3 base;
out vec2 surface;
out vec3 around;
out float slow;

void main() {
    place = position;
    seen = (optical * vec4(position, 1)).xyz;
    facing = mat3(optical) * normal;
    shaded = (shadow * vec4(position + 0.003 * normal, 1)).xyz;
    base = tint;
    surface = finish;
    around = ambient(facing);
    slow = noise(position * 60.0);
    gl_Position = clip * vec4(position, 1);
}
