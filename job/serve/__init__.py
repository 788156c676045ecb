"""A saved model behind HTTP, without Spark: an application, the processes that predict, and the server around them."""
