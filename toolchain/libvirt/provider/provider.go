// Package provider maps the Terraform provider for libvirt to the types of the Pulumi SDK pulumi-libvirt.
package provider

import (
	"github.com/dmacvicar/terraform-provider-libvirt/libvirt"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	sdkv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// Name of the package, in type tokens and in the plugin's file name.
const Name = "libvirt"

// Version of the SDK that the plugin answers to; the linker sets it.
var Version = "0.0.0"

// longest name that is made up for a resource that got none
const longestName = 255

// Info returns the mapping. The types lie in one module: libvirt:index/domain:Domain and so on.
func Info() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:         sdkv2.NewProvider(libvirt.Provider()),
		Name:      Name,
		Version:   Version,
		GitHubOrg: "dmacvicar",
		Config: map[string]*tfbridge.SchemaInfo{
			"uri": {Default: &tfbridge.DefaultInfo{EnvVars: []string{"LIBVIRT_DEFAULT_URI"}}},
		},
		Resources: map[string]*tfbridge.ResourceInfo{
			// the SDK writes this one as three words, the rule below would as two
			"libvirt_cloudinit_disk": {Tok: "libvirt:index/cloudInitDisk:CloudInitDisk"},
		},
	}
	info.MustComputeTokens(tokens.SingleModule("libvirt_", "index", tokens.MakeStandard(Name)))
	info.SetAutonaming(longestName, "-")
	return info
}
