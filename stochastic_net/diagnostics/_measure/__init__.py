"""What only running the program tells: dangers that are met, zeros, signal, bias."""
