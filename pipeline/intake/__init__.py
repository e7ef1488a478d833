"""What ingestion is made of: finding files, opening them safely, telling what is the same, remembering the rest."""
