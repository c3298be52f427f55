"""What is made with TensorFlow and knows nothing of denoising: sessions, replicas, optimisers, network and state files."""
