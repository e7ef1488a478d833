"""What is done between workspaces and machines: reproduce a version, adopt a training, accept an edit of code."""
