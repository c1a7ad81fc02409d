"""What goes over the wire and comes back: a call's answer as one of a few outcomes. Pure."""
