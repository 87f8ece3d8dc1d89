"""What each way of opening a session costs: a fresh process each, in turns."""
