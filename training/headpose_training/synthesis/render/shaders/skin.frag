uniform mat2 uv_scale; // from the texture's coordinates to millimetres to the left and up
uniform vec2 offset;    // of the noise, millimetres
uniform vec3 bare;      // albedo without pigments
uniform vec3 melanin_absorbs;
uniform vec3 blood_absorbs;
uniform float melanin, blood, flush, patches, pores, spots, lines, gloss, roughness;
uniform float lips, stubble, brow, brow_width, scalp;
uniform vec4 lipstick, eye_shadow;
uniform vec3 hair_color, brow_color;

in vec3 place, seen, facing, shaded;
in vec2 skin_uv;
in vec4 first, second;
in float openness;
in vec3 around, slow;
out vec4 color;

void main() {
    vec2 q = uv_scale * skin_uv + offset;
    float wide = slow.x;
    float fine = noise(q / 1.6);
    float pore = noise(q / 0.8 + 31.0);
    float dots = noise(q / 2.2 + 57.0) * (0.45 + 0.8 * slow.y);

    // Pigments.
    float red = flush * (second.w + 0.9 * second.z + 1.2 * second.y) * (0.6 + 0.8 * fine);
    float m = melanin * (1.0 + 0.35 * patches * wide) + 0.10 * pores * (fine - 0.5) * (melanin + 0.2);
    float h = blood + red + 0.30 * patches * wide + 0.22 * pores * (pore - 0.5);
    m += spots * (0.22 + 0.25 * melanin) * smoothstep(0.62, 0.82, dots * (0.7 + 0.6 * fine));
    h += lips * 1.1 * first.z + 0.10 * second.x;
    m += (0.10 + 0.25 * melanin) * first.z * lips;
    vec3 albedo = bare * exp(-max(m, 0.0) * melanin_absorbs - max(h, 0.0) * blood_absorbs);

    // Make-up, brows, shaved hair.
    albedo = mix(albedo, lipstick.rgb, lipstick.a * smoothstep(0.25, 0.6, first.z));
    albedo = mix(albedo, eye_shadow.rgb, eye_shadow.a * second.x * (1.0 - first.y));
    // Hairs of the two brows lean outwards.
    float aside = place.y < 0.0 ? -q.x : q.x;
    float strand = noise(vec2(aside * 1.3 + q.y * 0.7, q.y * 0.30 - aside * 0.2) * 1.3);
    float edge = 1.0 - brow_width;
    float hairs = smoothstep(edge - 0.4, edge + 0.4, first.y + 0.5 * (strand - 0.5) + 0.2 * (fine - 0.5));
    hairs *= smoothstep(0.0, 0.25, first.y);
    albedo = mix(albedo, brow_color, clamp(hairs * brow * (0.6 + 0.4 * strand), 0.0, 0.92));
    float stubbled = first.w * stubble * (0.25 + 0.5 * pore);
    albedo = mix(albedo, 0.6 * hair_color + 0.03, clamp(stubbled, 0.0, 0.75));
    albedo = mix(albedo, 0.8 * hair_color + 0.01, scalp * first.x * (0.45 + 0.5 * fine));

    // Small bumps and wrinkles.
    vec3 n = normalize(facing);
    float crease = noise(vec2(q.x / 40.0, q.y / 3.2)) * slow.z;
    vec3 bump = vec3(fine, pore, fract(5.0 * (fine + pore))) - 0.5;
    n = normalize(n + (0.10 * pores + 0.02) * bump * (1.0 - 0.5 * first.z));
    albedo *= 1.0 - 0.30 * lines * smoothstep(0.35, 0.6, crease);

    // The lids' folds are too fine for the measure of what they see.
    float seen_sky = mix(openness, 1.0, 0.65 * second.x);

    // Light goes on under the skin, red light farthest: it softens the terminator.
    float arrives = lit(shaded);
    float cosine = dot(n, key);
    vec3 wrap = vec3(0.26, 0.13, 0.08);
    vec3 direct = clamp((cosine + wrap) / (1.0 + wrap), 0.0, 1.0);
    vec3 softened = mix(vec3(arrives), sqrt(vec3(arrives)), vec3(0.7, 0.15, 0.0));
    vec3 hollow = mix(vec3(seen_sky), vec3(sqrt(seen_sky)), vec3(0.35, 0.1, 0.0));
    vec3 light = around * hollow + key_color * direct * direct * softened;
    vec3 to_eye = normalize(-seen);
    vec3 shine = mirrored(n, to_eye, roughness - 0.08 * first.z, arrives, min(lamps, 2));
    shine *= gloss * seen_sky * (0.5 + pore) * (0.8 + 0.6 * second.z + 0.8 * first.z) * (1.0 - 0.8 * hairs);
    color = vec4(encoded(albedo * light + 0.55 * shine), 1);
}
