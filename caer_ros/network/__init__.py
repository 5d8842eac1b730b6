# SPDX-License-Identifier: Apache-2.0
"""CAER-Net: its specification (no torch), its layers, its checkpoints."""
