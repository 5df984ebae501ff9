"""What is handed to other machines, and the scripts that fetch what is not in the repository."""
