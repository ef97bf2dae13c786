// Light on strands: a fibre mirrors into a cone about itself (Kajiya, Kay, SIGGRAPH 1989), once
// white at its surface and once in its own colour. Only the two strongest lamps count.

vec3 strand_light(
    vec3 n, vec3 along, vec3 to_eye, vec3 albedo, vec3 around, float arrives, float depth, float odd
) {
    float cosine = clamp((dot(n, key) + 0.25) / 1.25, 0.0, 1.0);
    vec3 light = around * depth + key_color * (cosine * arrives * (0.4 + 0.6 * depth));
    vec3 shine = vec3(0);
    vec3 white = normalize(along + (0.12 * odd - 0.10) * n);
    for (int i = 0; i < min(lamps, 2); i++) {
        vec3 h = normalize(lamp[i].xyz + to_eye);
        float a = dot(white, h), b = dot(along, h);
        float narrow = max(1.0 - a * a, 0.0), wide = max(1.0 - b * b, 0.0);
        narrow *= narrow, narrow *= narrow, narrow *= narrow, narrow *= narrow;
        wide *= wide, wide *= wide, wide *= wide;
        float front = clamp(0.3 + dot(n, lamp[i].xyz), 0.0, 1.0);
        vec3 power = lamp_color[i] * (2.0 / lamp[i].w * front * (i == 0 ? arrives : 1.0));
        shine += power * (0.04 * narrow * narrow * narrow + 0.4 * wide * albedo);
    }
    return albedo * light + shine * depth;
}
