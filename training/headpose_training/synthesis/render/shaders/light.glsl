// The light of the scene. Directions and positions are in the optical frame, metres.

uniform vec3 harmonics[9];  // irradiance over pi, see appearance/light.py
uniform int lamps;
uniform vec4 lamp[4];       // direction, sharpness of its spherical Gaussian
uniform vec3 lamp_color[4]; // the first one is the key light
uniform vec3 key;
uniform vec3 key_color;
uniform float softness; // of shadows, in widths of the shadow map
uniform vec3 exposure;
uniform sampler2DShadow shadow_map;

vec3 ambient(vec3 n) {
    vec3 sum = harmonics[0] + harmonics[1] * n.y + harmonics[2] * n.z + harmonics[3] * n.x
        + harmonics[4] * (n.x * n.y) + harmonics[5] * (n.y * n.z)
        + harmonics[6] * (3.0 * n.z * n.z - 1.0) + harmonics[7] * (n.x * n.z)
        + harmonics[8] * (n.x * n.x - n.y * n.y);
    return max(sum, 0.0);
}

// Share of the key light that arrives; place is in the shadow map, 0..1.
float lit(vec3 place) {
    float s = softness;
    // A wide border reads far texels of a sloping surface.
    place.z -= 0.3 * s;
    float sum = texture(shadow_map, place + vec3(0, s, 0))
        + texture(shadow_map, place + vec3(-0.87 * s, -0.5 * s, 0))
        + texture(shadow_map, place + vec3(0.87 * s, -0.5 * s, 0));
    return sum / 3.0;
}

// The same at vertices: what lies between them is soft anyway.
float lit_about(vec3 place) {
    place.z -= 0.3 * softness;
    return texture(shadow_map, place);
}

float fresnel(float facing) {
    float grazing = 1.0 - facing, square = grazing * grazing;
    return 0.03 + 0.97 * square * square * grazing;
}

// Light of the first lamps and of the surroundings that a surface mirrors; width is its lobe's.
// A lamp and the lobe are spherical Gaussians: their convolution is one again.
vec3 mirrored(vec3 n, vec3 to_eye, float width, float arrives, int count) {
    float facing = clamp(dot(n, to_eye), 0.05, 1.0);
    vec3 r = 2.0 * dot(n, to_eye) * n - to_eye;
    float sharp = 2.0 / (width * width * width * width) / (4.0 * facing);
    // Of the surroundings the lowest two bands do: lamps are not among them.
    vec3 sum = harmonics[0] + harmonics[1] * r.y + harmonics[2] * r.z + harmonics[3] * r.x;
    sum = 0.6 * max(sum, 0.0);
    for (int i = 0; i < count; i++) {
        float both = sharp * lamp[i].w / (sharp + lamp[i].w);
        float share = both / lamp[i].w * exp(both * (dot(r, lamp[i].xyz) - 1.0));
        sum += lamp_color[i] * share * (i == 0 ? arrives : 1.0);
    }
    return sum * fresnel(facing);
}

// What is written to the picture: the renderer's table takes it to the tones of a camera.
vec3 encoded(vec3 radiance) {
    return sqrt(clamp(0.5 * radiance * exposure, 0.0, 1.0));
}
