# SPDX-License-Identifier: MIT
# fish completion for bicornctl(8)

# bicornctl on the socket that the command line names.
function __bicornctl_ask
	set -l words (commandline -opc)
	set -l socket
	for i in (seq (count $words))
		switch $words[$i]
		case -s --socket
			set socket -s $words[(math $i + 1)]
		case '--socket=*'
			set socket $words[$i]
		end
	end 2>/dev/null
	bicornctl $socket $argv 2>/dev/null
end

function __bicornctl_workers
	__bicornctl_ask workers | string match -gr '^(\d+) '
end

function __bicornctl_settings
	__bicornctl_ask settings | string match -gr '^([a-z_0-9]+) ='
end

set -l commands status top workers requests stacks settings reload reopen \
	scale retire stop log-level
set -l first "not __fish_seen_subcommand_from $commands"

complete -c bicornctl -f
complete -c bicornctl -s s -l socket -r -F -d 'The control socket'
complete -c bicornctl -s j -l json -d 'Answer in JSON'
complete -c bicornctl -s h -l help -d 'Show the commands and options'
complete -c bicornctl -s V -l version -d 'Show the version'

complete -c bicornctl -n $first -a status -d 'How the service is'
complete -c bicornctl -n $first -a top -d 'The same, live'
complete -c bicornctl -n $first -a workers -d 'The workers'
complete -c bicornctl -n $first -a requests -d 'The requests in flight'
complete -c bicornctl -n $first -a stacks -d 'What the threads do'
complete -c bicornctl -n $first -a settings -d 'The settings as they were read'
complete -c bicornctl -n $first -a reload \
	-d 'Read settings and application again'
complete -c bicornctl -n $first -a reopen -d 'Open the logs again'
complete -c bicornctl -n $first -a scale -d 'So many workers'
complete -c bicornctl -n $first -a retire -d 'Replace a worker'
complete -c bicornctl -n $first -a stop -d 'Stop'
complete -c bicornctl -n $first -a log-level -d 'Until the next reload'

complete -c bicornctl -n '__fish_seen_subcommand_from top' -s n -l count -x \
	-d 'So many pictures'
complete -c bicornctl -n '__fish_seen_subcommand_from top' -s d -l delay -x \
	-d 'Seconds between two'
complete -c bicornctl -n '__fish_seen_subcommand_from reload' -l no-wait \
	-d 'Do not wait until the new workers serve'
complete -c bicornctl -n '__fish_seen_subcommand_from stop' -l quick \
	-d 'Do not finish the requests that run'
complete -c bicornctl -n '__fish_seen_subcommand_from stop' -l wait \
	-d 'Wait until bicorn is gone'
complete -c bicornctl -n '__fish_seen_subcommand_from stacks retire' -x \
	-a '(__bicornctl_workers)'
complete -c bicornctl -n '__fish_seen_subcommand_from settings' -x \
	-a '(__bicornctl_settings)'
complete -c bicornctl -n '__fish_seen_subcommand_from log-level' -x \
	-a 'debug info warning error critical'
