"""Plain trainers, written from the papers the way public implementations are: what the fast ones are measured by."""
