module cloud.local/lab/services/compose_check

go 1.24.0

require github.com/compose-spec/compose-go/v2 v2.16.2 // indirect
