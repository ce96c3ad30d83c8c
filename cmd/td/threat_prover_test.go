package main_test

func runRogueProver(port int) int { return port }
