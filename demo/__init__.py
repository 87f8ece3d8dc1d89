"""`make demo`: the whole way from training images to a prediction over HTTP, on this machine."""
