"""The servers and deployments of a workspace: started, mended, stopped, upgraded."""
