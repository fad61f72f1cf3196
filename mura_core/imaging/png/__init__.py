"""PNG decoder: validates chunks, inflates with libdeflate and reverses the row filters."""
