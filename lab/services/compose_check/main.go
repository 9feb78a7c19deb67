// Reads a Compose file as docker compose does, with its own library, and prints what it comes to as JSON.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: compose_check docker-compose.yaml")
		os.Exit(2)
	}
	options, err := cli.NewProjectOptions([]string{os.Args[1]}, cli.WithEnvFiles(), cli.WithDotEnv)
	if err == nil {
		options.WorkingDir = ""
		var project, failed = options.LoadProject(context.Background())
		if failed == nil {
			var text, broken = project.MarshalJSON()
			if broken == nil {
				fmt.Println(string(text))
				return
			}
			failed = broken
		}
		err = failed
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
