"""What happened in a run: the history on disk, merged from the clients' attempts and the nodes' journals."""
