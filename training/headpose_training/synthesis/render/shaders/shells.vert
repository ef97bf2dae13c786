uniform mat4 clip;
uniform mat4 optical;
uniform mat4 shadow;
uniform float layers;
uniform float scale; // strands per metre

in vec3 position;
in vec3 normal;
in vec3 comb;
in vec2 cover; // density, length in metres

out vec3 root;
out vec3 seen;
out vec3 facing;
out vec3 along;
out vec3 around; // light of the surroundings
out float arrives;
out float lump;
out float density;
out float height;

void main() {
    // The outermost first: what they hide is not drawn.
    height = (layers - float(gl_InstanceID) - 0.4) / layers;
    lump = noise(position * scale * 0.16);
    float grown = cover.y * smoothstep(0.0, 0.5, cover.x) * (0.75 + 0.5 * lump);
    vec3 rise = normal * height + comb * height * height * 0.9;
    // A strand that leans keeps its length.
    vec3 at = position + grown * rise / (1.0 + 0.45 * dot(comb, comb) * height);
    root = position * scale;
    seen = (optical * vec4(at, 1)).xyz;
    facing = mat3(optical) * normal;
    along = mat3(optical) * normalize(normal + 1.8 * comb * height);
    around = ambient(facing);
    arrives = lit_about((shadow * vec4(at + 0.006 * normal, 1)).xyz);
    density = cover.x;
    gl_Position = clip * vec4(at, 1);
}
