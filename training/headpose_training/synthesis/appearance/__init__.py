"""What a face looks like: skin, eyes, hair, what is worn or in the way, light and background."""
