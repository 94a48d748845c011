# SPDX-License-Identifier: MIT
# bash completion for bicornctl(8)
_bicornctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local socket=() i
	for ((i = 1; i < COMP_CWORD - 1; i++)); do
		case ${COMP_WORDS[i]} in
		-s|--socket) socket=(-s "${COMP_WORDS[i+1]}") ;;
		esac
	done
	case $prev in
	-s|--socket)
		COMPREPLY=($(compgen -f -- "$cur")) ;;
	log-level)
		COMPREPLY=($(compgen -W \
			'debug info warning error critical' -- "$cur")) ;;
	stacks|retire)
		COMPREPLY=($(compgen -W "$(bicornctl "${socket[@]}" workers \
			2>/dev/null | awk 'NR > 1 { print $1 }')" \
			-- "$cur")) ;;
	settings)
		COMPREPLY=($(compgen -W "$(bicornctl "${socket[@]}" settings \
			2>/dev/null | sed -n 's/^\([a-z_0-9]*\) =.*/\1/p')" \
			-- "$cur")) ;;
	*)
		COMPREPLY=($(compgen -W 'status top workers requests stacks
			settings reload reopen scale retire stop log-level
			--json --socket --no-wait --quick --wait --count
			--delay --help --version' -- "$cur")) ;;
	esac
}
complete -F _bicornctl bicornctl
