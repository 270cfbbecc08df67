"""What holds across rooms: what is named is there, and what shall be light is."""
