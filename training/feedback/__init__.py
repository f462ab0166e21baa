"""Learning from use: what people labelled joins the training data, and a part of it the gate."""
