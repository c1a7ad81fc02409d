"""What authorizes calls: where it comes from, when it is renewed, when it is given up."""
