uniform float curl, clump;
uniform vec3 tint;

in vec3 root, seen, facing, along, around;
in float arrives, lump, density, height;
out vec4 color;

void main() {
    float phase = height * 7.0 + 12.0 * lump;
    vec3 wound = curl * height * vec3(sin(phase), cos(phase), sin(phase + 1.0));
    float strand = mix(noise(root + wound), lump, 0.4 * clump);
    float line = density + 0.45 * (lump - 0.5) + 0.25 * (strand - 0.5);
    if (line < 0.35 || strand < mix(0.12, 0.62, height * height)) discard;
    vec3 odd = vec3(strand, fract(7.0 * strand), lump) - 0.5;
    vec3 n = normalize(facing + odd * (0.5 + 0.3 * curl));
    float depth = (0.25 + 0.75 * height) * (0.6 + 0.55 * strand);
    vec3 albedo = tint * (0.65 + 0.7 * strand);
    vec3 to_eye = normalize(-seen);
    color = vec4(
        encoded(strand_light(n, normalize(along), to_eye, albedo, around, arrives, depth, strand)), 1
    );
}
