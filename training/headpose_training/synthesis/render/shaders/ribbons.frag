uniform vec3 tint;

in vec3 seen, facing, along, strip, around;
in float arrives;
out vec4 color;

void main() {
    float strand = noise(vec2(strip.x * 5.0 + strip.z * 91.0, strip.y * 2.5 + strip.z * 13.0));
    float fine = noise(vec2(strip.x * 13.0 + strip.z * 57.0, strip.y * 2.0));
    float edge = max(abs(strip.x), smoothstep(0.7, 1.0, strip.y));
    if (strand + 0.35 * fine < 1.25 * edge * edge - 0.12) discard;
    vec3 n = normalize(facing);
    vec3 to_eye = normalize(-seen);
    if (dot(n, to_eye) < 0.0) n = -n;
    float depth = 0.45 + 0.4 * strand + 0.35 * fine - 0.25 * abs(strip.x);
    vec3 albedo = tint * (0.6 + 0.4 * strip.z + 0.4 * fine);
    color = vec4(
        encoded(strand_light(n, normalize(along), to_eye, albedo, around, arrives, depth, fine)), 1
    );
}
