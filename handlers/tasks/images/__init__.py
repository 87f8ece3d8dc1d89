"""Images as a user has them (files), to pixels as a network takes them."""
