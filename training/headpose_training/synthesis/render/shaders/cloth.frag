// Solids without gloss.

in vec3 place, facing, shaded, base;
in vec2 surface;
in vec3 around;
in float slow;
out vec4 color;

void main() {
    float knit = noise(vec2(260.0 * (place.y + 0.7 * place.x), 420.0 * place.z)) + 0.7 * slow - 0.85;
    knit *= surface.y;
    vec3 n = normalize(facing + 0.25 * knit * vec3(1, -1, 0.5));
    vec3 direct = key_color * (clamp(dot(n, key), 0.0, 1.0) * lit(shaded));
    color = vec4(encoded(base * (1.0 + 0.5 * knit) * (around * 0.85 + direct)), 1);
}
