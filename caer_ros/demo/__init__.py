# SPDX-License-Identifier: Apache-2.0
"""`caer demo`: a video through the real node, from bag to timeline."""
