// Command schema writes the plugin's schema: schema schema --out FOLDER --skip-docs --skip-examples.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"

	"cloud.local/toolchain/libvirt/provider"
)

func main() {
	tfgen.Main(provider.Name, provider.Version, provider.Info())
}
