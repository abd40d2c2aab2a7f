"""What assets, checks and sensors are given: settings, clock, warehouse, MLflow. No test doubles here."""
