"""What tokens cost on which day, what a run used, has spent and will. Pure."""
