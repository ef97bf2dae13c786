uniform vec3 lash_color;
uniform float eye_height; // of the eyeballs, in the face frame

in vec3 place, seen, facing, shaded;
in vec3 around;
in vec2 skin_uv; // along the lid, and from the root (0) to the tip (1)
out vec4 color;

void main() {
    // Dense above, fine and sparse below.
    bool upper = place.z > eye_height;
    float at = skin_uv.x * (upper ? 42.0 : 26.0);
    float wide = fwidth(at);
    at += 0.7 * noise(vec2(at * 0.9, 1.7)) + 0.5 * skin_uv.y * (noise(vec2(floor(at), 5.0)) - 0.5);
    float reach = 0.55 + 0.45 * noise(vec2(floor(at) * 3.7, 9.0));
    float thick = (upper ? 0.6 : 0.3) * clamp(1.0 - skin_uv.y / reach, 0.0, 1.0);
    float across = abs(2.0 * fract(at) - 1.0);
    float hair = clamp((thick - across) / max(2.0 * wide, 0.05) + 0.5, 0.0, 1.0);
    // Hairs finer than a sample are a veil.
    float cover = mix(hair * step(0.001, thick), thick, smoothstep(0.3, 1.0, wide));
    cover *= upper ? 0.9 : 0.6;
    if (cover < 0.02) discard;
    vec3 light = around + 0.3 * key_color;
    color = cover * vec4(encoded(lash_color * light), 1);
}
