"""`caer demo`: a video through the real node, from bag to timeline."""
