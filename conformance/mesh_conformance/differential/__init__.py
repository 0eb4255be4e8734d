"""The differential run: generated configurations on two meshes side by side, and every difference in what comes of them."""
