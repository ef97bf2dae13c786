uniform float opacity; // below 1 for lenses: what is behind shines through

in vec3 place, seen, facing, shaded, base;
in vec2 surface;
in vec3 around;
in float slow;
out vec4 color;

void main() {
    vec3 n = normalize(facing);
    float knit = noise(vec2(260.0 * (place.y + 0.7 * place.x), 420.0 * place.z)) + 0.7 * slow - 0.85;
    n = normalize(n + 0.25 * surface.y * knit * vec3(1, -1, 0.5));
    vec3 albedo = base * (1.0 + 0.5 * surface.y * knit);
    float arrives = lit(shaded);
    vec3 direct = key_color * clamp(dot(n, key), 0.0, 1.0) * arrives;
    float width = mix(0.7, 0.25, surface.x);
    vec3 shine = mirrored(n, normalize(-seen), width, arrives, min(lamps, opacity < 1.0 ? 4 : 1));
    vec3 radiance = albedo * (around * 0.85 + direct) * (opacity < 1.0 ? opacity : 1.0);
    color = vec4(encoded(radiance + shine * surface.x * 1.5), opacity);
    if (opacity < 1.0) {
        // A lens adds what it mirrors; a coated one mirrors little.
        color = vec4(encoded(radiance + shine * 0.5) * (0.25 + 0.75 * opacity), opacity);
    }
}
