"""CAER-Net: its specification (no torch), its layers, its checkpoints."""
