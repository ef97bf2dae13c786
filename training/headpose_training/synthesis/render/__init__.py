"""Drawing scenes with OpenGL over EGL."""
