uniform mat4 clip;
uniform mat4 optical;
uniform mat4 shadow;

in vec3 position;
in vec3 normal;
in vec3 tangent;
in vec3 uv; // across, along, a random number

out vec3 seen;
out vec3 facing;
out vec3 along;
out vec3 strip;
out vec3 around;
out float arrives;

void main() {
    seen = (optical * vec4(position, 1)).xyz;
    facing = mat3(optical) * normal;
    along = mat3(optical) * tangent;
    strip = uv;
    around = ambient(facing);
    arrives = lit_about((shadow * vec4(position + 0.006 * normal, 1)).xyz);
    gl_Position = clip * vec4(position, 1);
}
