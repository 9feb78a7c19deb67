// Command pulumi-resource-libvirt is the provider plugin that the Pulumi engine starts.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"

	"cloud.local/toolchain/libvirt/provider"
)

// Written by the command in the folder schema just before this one is built; not kept in the repository.
//
//go:embed schema.json
var schema []byte

func main() {
	tfbridge.Main(provider.Name, provider.Version, provider.Info(), schema)
}
