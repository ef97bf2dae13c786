uniform mat4 clip;
uniform mat4 optical; // from the face frame to the optical frame
uniform mat4 shadow;  // from the face frame to the shadow map
uniform mat2 uv_scale; // from the texture's coordinates to millimetres to the left and up
uniform vec2 offset;    // of the noise, millimetres

in vec3 position;
in vec3 normal;
in vec2 uv;
in vec4 regions_a; // scalp, brow, lips, beard
in vec4 regions_b; // lids, ears, nose, cheeks
in float open;     // share of the surroundings that reaches the place

out vec3 place; // in the face frame
out vec3 seen;  // in the optical frame
out vec3 facing;
out vec3 shaded;
out vec2 skin_uv;
out vec4 first;
out vec4 second;
out float openness;
out vec3 around;  // light of the surroundings
out vec3 slow;    // noise that varies over centimetres: tone, freckles, creases

void main() {
    place = position;
    seen = (optical * vec4(position, 1)).xyz;
    facing = mat3(optical) * normal;
    shaded = (shadow * vec4(position + 0.002 * normal, 1)).xyz;
    skin_uv = uv;
    first = regions_a;
    second = regions_b;
    openness = open;
    around = ambient(facing);
    vec2 q = uv_scale * uv + offset;
    slow = vec3(
        noise(q / 28.0) + 0.6 * noise(q / 9.0 + 7.0) - 0.8,
        noise(q / 17.0 + 3.0),
        // Seen from the front: creases of the forehead and about the mouth, none of the cheeks.
        noise(q / 21.0 + 11.0) * smoothstep(0.4, 0.8, normal.x)
            * clamp(1.0 - 1.4 * (regions_b.w + regions_b.z), 0.0, 1.0)
    );
    gl_Position = clip * vec4(position, 1);
}
