uniform mat4 shadow_clip;
in vec3 position;
void main() {
    gl_Position = shadow_clip * vec4(position, 1);
}
