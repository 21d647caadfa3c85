"""What happened in a run: the history on disk, made of the clients' attempts and the nodes' journals."""
