uniform vec3 eye_center[2]; // the person's right eye first, face frame
uniform vec3 gaze[2];
uniform float eye_radius, iris_size, pupil_size, ring, veins, glow;
uniform vec3 iris_outer, iris_inner;

in vec3 place, seen, facing, shaded;
in vec3 around;
out vec4 color;

void main() {
    int side = place.y < 0.0 ? 0 : 1;
    vec3 d = (place - eye_center[side]) / eye_radius;
    vec3 axis = gaze[side];
    float along = dot(d, axis);
    vec3 across = d - along * axis;
    float r = along > 0.0 ? length(across) / iris_size : 9.0;
    float angle = atan(across.z, across.y);

    vec3 white = vec3(0.47, 0.42, 0.39);
    float vessel = noise(vec2(angle * 9.0 + 4.0 * noise(d.yz * 5.0), length(across) * 5.0));
    white = mix(white, vec3(0.62, 0.22, 0.18), veins * smoothstep(0.6, 0.95, vessel) * 0.7);
    white *= mix(vec3(1), vec3(0.95, 0.72, 0.66), smoothstep(0.75, 1.0, abs(d.y)));
    float fibre = noise(vec2(angle * 11.0, r * 2.5)) * 0.7 + noise(vec2(angle * 29.0, r)) * 0.3;
    vec3 iris = mix(iris_inner, iris_outer, smoothstep(pupil_size, 0.75, r)) * (0.55 + 0.9 * fibre);
    iris *= 1.0 - ring * 0.8 * smoothstep(0.72, 1.0, r);
    vec3 dark = vec3(0.004 + 0.6 * glow);
    iris = mix(dark, iris, smoothstep(pupil_size - 0.08, pupil_size + 0.08, r));
    vec3 albedo = mix(iris, white, smoothstep(0.9, 1.06, r));

    vec3 n = normalize(facing);
    float arrives = lit(shaded);
    vec3 to_eye = normalize(-seen);
    // The upper lid and its lashes shade the eye.
    float lid = 1.0 - 0.55 * smoothstep(0.05, 0.5, d.z) - 0.25 * smoothstep(0.55, 0.95, abs(d.y));
    vec3 direct = key_color * clamp((dot(n, key) + 0.1) / 1.1, 0.0, 1.0) * arrives;
    vec3 light = (around * 0.85 + direct) * lid;
    vec3 shine = mirrored(n, to_eye, r < 1.05 ? 0.26 : 0.36, arrives, lamps) * lid;
    color = vec4(encoded(albedo * light + 0.8 * shine), 1);
}
