uniform float tooth;       // 1 for teeth, 0 for gums and tongue
uniform float opening;     // of the mouth, 0..1
uniform float mouth_front; // x of the inner lips in the face frame
uniform vec3 tooth_color;

in vec3 place, seen, facing, shaded;
in vec3 around;
out vec4 color;

void main() {
    vec3 flesh = vec3(0.33, 0.09, 0.08) * (0.8 + 0.4 * noise(place * 400.0));
    vec3 albedo = mix(flesh, tooth_color, tooth);
    vec3 n = normalize(facing);
    // Light falls off behind the lips, and little comes in between lips that nearly touch.
    float deep = exp(min((place.x - mouth_front) * 55.0, 0.0));
    deep *= mix(0.15, 1.0, smoothstep(0.02, 0.14, opening));
    float arrives = lit(shaded);
    vec3 light = around * 0.7 + key_color * clamp((dot(n, key) + 0.2) / 1.2, 0.0, 1.0) * arrives;
    vec3 shine = mirrored(n, normalize(-seen), 0.33, arrives, lamps);
    color = vec4(encoded((albedo * light + 0.6 * shine) * deep * (0.35 + 0.65 * tooth)), 1);
}
