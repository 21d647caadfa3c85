"""The built-in feed: uploads in every form that clients send, names, documents, list, get, delete and download."""
