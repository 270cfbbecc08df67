"""What goes wrong on real hosts, on purpose: and afterwards the books must balance."""
