"""What people see of a model: its report, its pictures and charts, its card, and its comparison with another."""
