"""Models on the images of a study."""
