"""What runs inside the processes that are measured, each file by itself and under Lambda's Python, nothing of ours."""
